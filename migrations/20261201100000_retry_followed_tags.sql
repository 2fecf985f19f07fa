-- Followers try tags again that cannot become releases yet, and forget tags that registries no longer list. A process of the version before does not
-- try them again.

-- The new tags that could not become releases yet.
create table retried_tags (
    stream_id     bigint      not null references streams (id) on delete cascade,
    image         text        not null,
    tag           text        not null,
    -- What the tag stood for; null if the registry did not say.
    digest        bytea,
    -- Why it could not become a release.
    error         text        not null,
    -- When that was first so, and when the tag was last tried.
    since         timestamptz not null,
    tried_at      timestamptz not null,
    tries         integer     not null,
    -- True if the registry did not answer, in vain for all tags after it.
    is_unanswered boolean     not null,
    constraint retried_tags_pkey primary key (stream_id, image, tag),
    constraint retried_tags_digest_length check (octet_length(digest) = 32),
    constraint retried_tags_tries_count check (tries > 0)
);

alter table followed_tags
    -- What a person should know of the release that was made.
    add column warnings text[] not null default '{}',
    -- Since when the registry does not list the tag; null if it does.
    add column missing_since timestamptz;

alter table follow_states
    -- Why the newest tag became no release. Why the look failed is in error.
    add column tag_error text,
    -- When a release was last published, as far as the revisions up to this one show.
    add column published_at timestamptz,
    add column seen_revision bigint;

-- Every second, each process that may write asks for streams that follow repositories.
create index streams_with_follow on streams (id) where follow is not null;
