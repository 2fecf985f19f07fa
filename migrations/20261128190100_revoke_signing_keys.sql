-- A signing key can be revoked: no token counts that it signed, and it signs no more.

alter table signing_keys add column revoked_at timestamptz, add column revoked_by text;

alter table signing_keys
    add constraint signing_keys_revoked_by_given check ((revoked_at is null) = (revoked_by is null));

create index tokens_by_key on tokens (kid);
