-- Tokens of our own: what was given to whom, until when, and what was taken back. Private keys are never here.

create table signing_keys (
    kid        text        not null,
    public_key bytea       not null,
    added_at   timestamptz not null,
    constraint signing_keys_pkey primary key (kid),
    constraint signing_keys_kid_grammar check (kid ~ '^[0-9a-f]{16}$'),
    constraint signing_keys_key_is_ed25519 check (length(public_key) = 32)
);

create table tokens (
    id         uuid        not null,
    kid        text        not null references signing_keys (kid),
    name       text        not null,
    role       text        not null,
    pattern    text        not null,
    issued_at  timestamptz not null,
    issued_by  text        not null,
    expires_at timestamptz not null,
    revoked_at timestamptz,
    revoked_by text,
    constraint tokens_pkey primary key (id),
    constraint tokens_name_given check (btrim(name) <> ''),
    constraint tokens_role_known check (role in ('viewer', 'publisher', 'manager', 'admin')),
    constraint tokens_expire_after_issue check (expires_at > issued_at),
    constraint tokens_revoked_by_somebody check ((revoked_at is null) = (revoked_by is null))
);
