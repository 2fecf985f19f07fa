-- The plan of a rollout stays as it was made; how long it has stood still is kept beside it, and when it first opened.
alter table rollouts
    add column stood_still bigint not null default 0,
    add column first_opened bigint,
    add constraint rollouts_stood_still_not_negative check (stood_still >= 0);
