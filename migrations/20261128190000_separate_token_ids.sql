-- A token is known by a public id, which is shown and audited, and carries another one (`jti`) that nobody can read here: only its
-- SHA-256 is kept, and the random number from which the private signing key derives it. Tokens made before carry their
-- public id, which everybody may know who has seen a list: they are revoked.

alter table tokens add column jti_hash bytea, add column jti_nonce bytea;

alter table tokens
    add constraint tokens_jti_hash_length check (octet_length(jti_hash) = 32),
    add constraint tokens_jti_nonce_length check (octet_length(jti_nonce) = 32),
    add constraint tokens_jti_complete check ((jti_hash is null) = (jti_nonce is null));

create unique index tokens_by_jti on tokens (jti_hash);
create index tokens_by_issuer on tokens (issued_by);

update tokens
set revoked_at = greatest(now(), issued_at), revoked_by = 'migration:separate-token-ids'
where revoked_at is null;
