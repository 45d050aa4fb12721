"""What a name means: the grammar of revisions and, with the repos at hand, what one stands for.

`grammar` and `when` are pure; `resolve` asks pfs.repo, and never blocks.  What is then shown under a name,
and to whom, is left to the layers above.
"""
