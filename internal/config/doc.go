// Package config is what an operator may say about Gatehouse: the keys of the configuration file, their defaults, and what is refused.
// The fields of [Config] are the keys, and the comment of a field is its documentation.
//
// A key has its default, unless the file sets it, unless the environment sets it. The variable of a key is GATEHOUSE_ and the key's
// path in upper case, joined by underscores: session_cache.fresh_for is GATEHOUSE_SESSION_CACHE_FRESH_FOR. A single value is written
// as it is, a list of single values with commas between them, and everything else as YAML flow text, such as
//
//	GATEHOUSE_ROUTES='[{ match: { path: /* }, access: session }]'
//
// A variable replaces the whole value of its key: one that names a section gives every key of the section that it does not mention its
// default, and variables of single keys in it are applied after it.
//
// # Promises
//
//   - Loading is strict. What is unknown, set twice, of the wrong type, out of bounds or contradictory is an error, and never a guess.
//   - Every mistake is reported at once, each with its place and with what to change.
//   - What was accepted can be printed, and what was printed loads again as the same configuration.
//   - Defaults are safe: nobody is trusted, nothing is public, and what cannot be known is refused.
//   - No input makes it panic, and no password gets into a message: URLs are never repeated in errors.
//
// The package holds data only. It opens no file but the one it is told to load, and knows nothing of the parts that it configures.
package config
