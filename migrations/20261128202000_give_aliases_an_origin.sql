-- Aliases have an origin: an import makes one of a payload that upstream has replaced. Those that are there were set here, as are those of
-- processes that do not know the column yet. Of other payloads the column means nothing.

alter table payloads add column origin text not null default 'local';
alter table payloads add constraint payloads_origin_known check (origin in ('upstream', 'git', 'local'));
