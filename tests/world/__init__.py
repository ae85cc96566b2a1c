"""A world that tries everything: several simulated processes around the real core.

What is real: the core with its SQL (on SQLite, or PostgreSQL), its states, engines, runner, relay,
Celery's publisher and the deliveries in workers, with Celery's and kombu's own code around them.
What is simulated stands under it, at seams that the core has for the machine and the network:

- *time* (`world`, `database`): one clock, which the database follows and processes may see wrongly;
- *threads* (`threads`, `waiting`, `runtime`): greenlets. They stop only at points, before whatever
  reaches out of a process (a statement, a command to the cache, a message) and after a commit;
  there others go on, or the process is killed;
- *event loops* (`loop`, `web`), whose next callback is chosen;
- *workers* (`worker`, `child`): a main process with Celery's own requests, and a pool process with
  signals, time limits and remote control;
- the *broker* (`broker`, `wire`), the *cache* (`cache`), and what breaks (`faults`).

A history (`history`) is a list of steps (`steps/`), drawn by a seed (`drawing`). After each step
the promises are judged (`judging`, `ledger`); at its end all is made well (`healing`), and
everything must end. What fails is shrunk to the steps that matter. `orders` plays all orders in
which the steps of operations that meet can come (`meetings`).

    make explore                          # ten minutes, on all processors
    make explore SEED=4711                # one history, and the shortest that breaks the same
    make explore HISTORIES=1000 DATABASE=postgres
    make explore ARGS=--orders            # of operations that meet; `--switches 2` for more of them
    python -m tests.world.power           # plant bugs, and see which it finds

What it does not judge, and why:

- what is known of a task may begin anew when the cache has forgotten it, or is away: a look-up then
  gets what the row knows, and an ordinary task, which the cache alone knows, may begin once more;
- whose process hung past its lease, was cut off from the database or was killed cannot know what
  others did meanwhile: two attempts may then overlap, and an end be told twice;
- an ordinary task is lost with a process that is killed, or with a message that the broker loses;
- a cancel whose process dies, or does not hear of its commit, may have removed the row of a task
  without a word.
"""
