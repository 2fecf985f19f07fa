-- When a token was last used, to the minute.
alter table tokens add column last_used_at timestamptz;
