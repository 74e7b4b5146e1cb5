package sessionapi

// TokensIn is for tests.
var TokensIn = tokensIn
