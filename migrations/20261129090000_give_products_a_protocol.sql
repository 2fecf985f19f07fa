-- The protocol that a product's nodes speak, and files that a protocol publishes for a product. Every change counts up
-- `settings_revision`, so that processes load only what is newer than what they have. Older programs join this table with others: the new
-- columns have names that no column of those has.

alter table products
    add column protocol            text        not null default 'fedora-coreos',
    add column settings_revision   bigint      not null default 1,
    add column settings_changed_at timestamptz not null default now(),
    add constraint products_protocol_grammar check (protocol ~ '^[a-z0-9][a-z0-9-]{0,63}$'),
    add constraint products_settings_revision_counts check (settings_revision >= 1);

create table published_files (
    product_id bigint not null references products (id),
    path       text   not null,
    content    bytea  not null,
    primary key (product_id, path),
    constraint published_files_path_grammar check (path ~ '^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$')
);
