// Package docs is the documentation. It has no code of its own: its tests hold what is written here and in README.md to what the code does.
//
// The keys in reference/configuration.md are generated from the comments in internal/config, and ratios that are quoted from
// reference/performance.json are brought up to date, by
//
//	go test ./docs -update
package docs
