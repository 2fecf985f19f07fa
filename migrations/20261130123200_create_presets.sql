-- Presets of products: named lists of rollouts, as documents.

create table presets (
    product_id bigint not null references products (id),
    name       text   not null,
    content    jsonb  not null,
    primary key (product_id, name),
    constraint presets_name_grammar check (name ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
    constraint presets_content_has_rollouts check (jsonb_typeof(content -> 'rollouts') = 'array')
);
