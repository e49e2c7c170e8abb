-- v3 -> v4: logins by an authentication service (OAuth 2.0 API)
-- Without one all four are as their defaults say.
ALTER TABLE matrix_account ADD COLUMN client_id TEXT NOT NULL DEFAULT ''; -- as the service knows this program
ALTER TABLE matrix_account ADD COLUMN refresh_token BLOB; -- sealed
ALTER TABLE matrix_account ADD COLUMN token_from INTEGER NOT NULL DEFAULT 0; -- when the access token came
ALTER TABLE matrix_account ADD COLUMN token_until INTEGER NOT NULL DEFAULT 0; -- when it runs out; 0: not known
