-- Which store this is: a process that kept a copy of another one must not take the two for each other.

create table installation (
    only_row boolean primary key default true,
    id       uuid    not null default gen_random_uuid(),
    constraint installation_is_one check (only_row)
);

insert into installation default values;
