-- removal of requests for codes that nobody could work off
create index code_requests_requested on code_requests (requested_at);
