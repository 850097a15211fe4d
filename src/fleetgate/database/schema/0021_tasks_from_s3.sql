-- The input file in S3, as it was when the task was started; none for a file in a folder of the server.
ALTER TABLE registration_tasks ADD COLUMN etag TEXT;
