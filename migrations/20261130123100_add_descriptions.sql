-- What products and streams are for, as text for people; null: none.
alter table products
    add column description text
        constraint products_description_length check (octet_length(description) between 1 and 1000);
alter table streams
    add column description text
        constraint streams_description_length check (octet_length(description) between 1 and 1000);
