-- The preset that a draft without rollouts gets when it is published; null: none.
alter table streams add column default_rollout text;
