-- Rollouts have ids, and their plans may have gates and steps that take time. Both are stored so that processes of the version before can read
-- and write while they still run.

-- The ids of the rollouts of a release, in the order of the rollouts, and the last id that was given. They are not in the rows of the
-- rollouts, which older processes delete and write anew. A rollout that has none here, because such a process or an older version wrote it,
-- has the next one.
alter table releases
    add column rollout_ids integer[] not null default '{}',
    add column last_rollout_id integer not null default 0,
    add constraint releases_rollout_ids_not_negative check (0 <= all (rollout_ids)),
    add constraint releases_last_rollout_id_not_negative check (last_rollout_id >= 0);

-- All steps of a plan, if any of them is a gate or takes time. Step_minutes and step_shares then have those before the first gate, each at its
-- end: a process that knows only these opens no sooner, and what it writes waits at the gate forever.
alter table rollouts
    add column steps jsonb,
    add constraint rollouts_steps_of_steps check (steps is null or course = 'steps');
