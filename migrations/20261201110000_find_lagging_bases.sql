-- The revision with which a release was first published: since when the stream has it. A release that was published before this migration counts
-- from the present revision. Null for drafts.
alter table releases add column first_published_revision bigint;
update releases set first_published_revision = streams.revision
from streams where streams.id = releases.stream_id and releases.state <> 'draft' and streams.revision > 0;

-- When the images that are missing were asked for again the last time.
alter table image_check_runs add column missing_asked_at timestamptz;
