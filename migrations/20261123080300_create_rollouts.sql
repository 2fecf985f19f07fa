-- Rollouts, in the order in which they are tried on a node. A rollout is never removed to stop it.

create table rollouts (
    release_id         bigint  not null references releases (id) on delete cascade,
    position           integer not null,
    selector_arches    text[],
    selector_schemes   text[],
    selector_groups    text[],
    selector_platforms text[],
    -- Seconds since 1970; absent counts as 0.
    start_epoch        bigint,
    -- Absent counts as 0. Upstream's shares may lie outside of 0 to 1, ours may not.
    start_share        double precision,
    course             text    not null,
    -- Upstream may write any unsigned 64-bit number.
    duration_minutes   numeric(20, 0),
    end_share          double precision,
    step_minutes       numeric(20, 0)[],
    step_shares        double precision[],
    state              text    not null,
    paused_at          bigint,
    origin             text    not null,
    constraint rollouts_pkey primary key (release_id, position),
    constraint rollouts_position_counts check (position >= 0),
    constraint rollouts_selector_some check (
        cardinality(selector_arches) > 0 and cardinality(selector_schemes) > 0
        and cardinality(selector_groups) > 0 and cardinality(selector_platforms) > 0),
    constraint rollouts_selector_arches_grammar check (array_to_string(selector_arches, ' ', '?') ~ '^[a-z0-9_ ]+$'),
    constraint rollouts_course_known check (course in ('constant', 'linear', 'steps')),
    constraint rollouts_course_complete check (
        (course = 'linear') = (duration_minutes is not null) and (course = 'linear') = (end_share is not null)
        and (course = 'steps') = (step_minutes is not null) and (course = 'steps') = (step_shares is not null)
        and cardinality(step_minutes) is not distinct from cardinality(step_shares)),
    constraint rollouts_duration_counts check (duration_minutes between 0 and 18446744073709551615),
    constraint rollouts_shares_finite check (
        start_share > '-Infinity' and start_share < 'Infinity'
        and coalesce(0.0 <= all (step_shares) and 1.0 >= all (step_shares), true)),
    -- One of upstream's that was stopped here keeps upstream's ramp.
    constraint rollouts_share_in_range check (origin = 'upstream' or state <> 'active' or start_share between 0 and 1),
    constraint rollouts_end_share_in_range check (end_share between 0 and 1),
    constraint rollouts_state_known check (state in ('active', 'paused', 'completed', 'aborted')),
    constraint rollouts_paused_at_an_instant check ((state = 'paused') = (paused_at is not null)),
    constraint rollouts_origin_known check (origin in ('upstream', 'git', 'local'))
);
