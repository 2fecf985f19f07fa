-- What registries said about the images that nodes are sent to. A backup has no rows of these tables: the images are asked for again.

create table image_checks (
    image         text        primary key,
    state         text        not null,
    checked_at    timestamptz not null,
    -- When the image was first found to be gone, until it is found again.
    missing_since timestamptz,
    problem       text,
    constraint image_checks_state_known check (state in ('present', 'gone', 'unknown', 'not_allowed')),
    constraint image_checks_gone_since check (state <> 'gone' or missing_since is not null),
    constraint image_checks_present_not_missing check (state <> 'present' or missing_since is null)
);

create table image_check_runs (
    is_single   boolean     primary key default true,
    -- When all images were checked the last time.
    finished_at timestamptz not null,
    constraint image_check_runs_has_one_row check (is_single)
);
