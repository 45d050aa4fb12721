"""Who made each version, with which command line, out of what.

```
render                                   answers as text, pictures and exports
answers                                  questions, over any `facts.Source`
recording | outside | index | segment    what happens, becomes facts; facts at rest; where each is found
live | processes                         facts that no commit holds yet; who acts
redaction | group                        what is never stored; what a commit stores together
facts                                    activities, versions, inputs, changes
```
"""
