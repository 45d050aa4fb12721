"""Who made each version, with which command line, out of what.

Facts (facts) come from processes (processes, description, secrets), are put together by the rules of the
model (recorder, evidence), survive a crash (journal), go into commits (segment), are found again (index)
and answer questions (answer, jobs, and what is below render).  Nothing here waits: threads and the event
loop belong to the layers above.
"""
