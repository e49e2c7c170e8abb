package matrix

// SpoolFailure is spoolFailure, for errors that a test cannot bring about.
var SpoolFailure = spoolFailure
