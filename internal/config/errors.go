package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// An Error is one mistake in a configuration: where it is, and what to change.
type Error struct {
	File         string // as it was named, or "environment"
	Line, Column int    // from 1; 0 for the environment, and for a file that could not be read
	Path         string // of the key, such as routes[1].match.path, or the variable; empty when the mistake is in no single key
	Message      string
}

// Error returns "file:line:column: path: message", without the parts that are not known.
func (e Error) Error() string {
	s := e.File
	if e.Line > 0 {
		s = fmt.Sprintf("%s:%d:%d", s, e.Line, e.Column)
	}
	if e.Path != "" {
		s += ": " + e.Path
	}
	return s + ": " + e.Message
}

// Errors are all mistakes of one configuration: those of the file in the order of the file, then those of the environment.
type Errors []Error

// Error returns one line for every mistake.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

func (e Errors) sort() {
	slices.SortStableFunc(e, func(a, b Error) int {
		if a, b := a.Line > 0, b.Line > 0; a != b {
			if a {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path))
	})
}

// Nearest returns the one of the names that word is most likely a misspelling of, or "".
func Nearest(word string, names []string) string {
	best, least := "", 3
	for _, name := range names {
		// What differs in every second character is another word.
		if d := distance(strings.ToLower(word), strings.ToLower(name)); d < least && d*2 < len(name) {
			best, least = name, d
		}
	}
	return best
}

// partner returns the only name that a word is the last part of, as cache is of session_cache, or that is short for it, as app is for
// application; or "".
func partner(word string, names []string) string {
	found := ""
	for _, name := range names {
		if word = strings.ToLower(word); strings.HasSuffix(name, "_"+word) || len(name) >= 3 && strings.HasPrefix(word, name) {
			if found != "" {
				return ""
			}
			found = name
		}
	}
	return found
}

// distance returns how many characters must be added, removed, changed or swapped with their neighbour to make b of a, and 3 for
// everything beyond 2.
func distance(a, b string) int {
	if max(len(a)-len(b), len(b)-len(a)) > 2 {
		return 3
	}
	var before []int // the row before the previous one
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			changed := row[j]
			if a[i] != b[j] {
				changed++
			}
			next[j+1] = min(changed, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return min(row[len(b)], 3)
}

// alternatives joins names as in "a, b or c".
func alternatives(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
