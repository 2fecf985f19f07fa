-- Products and their streams. A stream's row is what writers of the stream queue on.

create table products (
    id   bigint generated always as identity primary key,
    name text not null,
    constraint products_name_unique unique (name),
    constraint products_name_grammar check (name ~ '^[a-z0-9][a-z0-9._-]{0,63}$')
);

create table streams (
    id         bigint generated always as identity primary key,
    product_id bigint not null references products (id),
    name       text   not null,
    -- The number of its newest revision; 0 before the first, which no other transaction ever sees.
    revision   bigint not null default 0,
    arches     text[] not null default '{}',
    constraint streams_name_unique unique (product_id, name),
    constraint streams_name_grammar check (name ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
    constraint streams_revision_counts check (revision >= 0),
    constraint streams_arches_grammar check (array_to_string(arches, ' ', '?') ~ '^[a-z0-9_ ]*$')
);
