-- Streams follow repositories of container registries, whose tags become releases.

-- What the stream follows, as in its document; null: nothing.
alter table streams add column follow jsonb;

-- What one look at the repository of a stream leaves for the next one, and shows.
create table follow_states (
    stream_id       bigint      primary key references streams (id) on delete cascade,
    -- The repository and the pattern of the last look. With others, the follower begins anew.
    image           text,
    tags            text,
    -- When the follower first got a list of these tags; null until then.
    followed_since  timestamptz,
    -- What the registry sent with its list of tags, to ask whether the list has changed.
    etag            text,
    checked_at      timestamptz,
    succeeded_at    timestamptz,
    -- Why the last look failed.
    error           text,
    failures        integer     not null default 0,
    -- When the next look is due; null: at once.
    next_at         timestamptz,
    -- When a registry said that the repository has changed; null after a look.
    wake_at         timestamptz,
    -- The first of the tags that wait, how many there are, and why.
    waiting         text[]      not null default '{}',
    waiting_count   bigint      not null default 0,
    waiting_because text,
    constraint follow_states_failures_count check (failures >= 0)
);

-- The tags that followers have handled.
create table followed_tags (
    stream_id  bigint      not null references streams (id) on delete cascade,
    image      text        not null,
    tag        text        not null,
    -- What the tag stood for; null for a tag that was there before the stream followed the repository, until it is asked for.
    digest     bytea,
    handled_at timestamptz not null,
    outcome    text        not null,
    -- The release that has the image.
    release    text,
    -- Why the tag became no release.
    error      text,
    constraint followed_tags_pkey primary key (stream_id, image, tag),
    constraint followed_tags_digest_length check (octet_length(digest) = 32),
    constraint followed_tags_outcome_known
        check (outcome in ('skipped', 'drafted', 'published', 'existing', 'refused'))
);
