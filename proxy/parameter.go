package proxy

import (
	"bytes"
	"net/url"
)

// parameter returns the value of a parameter of the query in raw, which is a path with its query: nothing if it is not there or empty. It
// reports false if it is there with several values, or with one that cannot be read. The result borrows from raw where nothing in it is
// escaped.
func parameter(raw []byte, name string) (value []byte, ok bool) {
	for rest := queryOf(raw); len(rest) > 0; {
		var pair []byte
		pair, rest = cutParameter(rest)
		if !isParameter(pair, name) {
			continue
		}
		_, v, _ := bytes.Cut(pair, []byte("="))
		if bytes.ContainsAny(v, "%+") {
			plain, err := url.QueryUnescape(string(v))
			if err != nil {
				return nil, false
			}
			v = []byte(plain)
		}
		switch {
		case len(v) == 0:
		case len(value) > 0 && !bytes.Equal(value, v):
			return nil, false
		default:
			value = v
		}
	}
	return value, true
}

// withoutParameter removes a parameter from the query of raw, however often it is there and however its name is written, and leaves every
// other byte as it is. It changes raw, and returns what is left of it.
func withoutParameter(raw []byte, name string) []byte {
	start := bytes.IndexByte(raw, '?')
	if start < 0 {
		return raw
	}
	left := start
	for at := start; at < len(raw); { // which is where a sign stands, and then a pair
		pair, _ := cutParameter(raw[at+1:])
		end := at + 1 + len(pair)
		if !isParameter(pair, name) {
			if left > start {
				raw[left] = raw[at]
			}
			copy(raw[left+1:], pair)
			left += end - at
		}
		at = end
	}
	return raw[:left]
}

// cutParameter cuts the first parameter off a query. Some servers take ';' for '&', and so a parameter ends at either.
func cutParameter(query []byte) (pair, rest []byte) {
	if i := bytes.IndexAny(query, "&;"); i >= 0 {
		return query[:i], query[i+1:]
	}
	return query, nil
}

// isParameter reports whether a pair of a query has a name, escaped or not.
func isParameter(pair []byte, name string) bool {
	n, _, _ := bytes.Cut(pair, []byte("="))
	if bytes.IndexByte(n, '%') < 0 {
		return string(n) == name
	}
	plain, err := url.QueryUnescape(string(n))
	return err == nil && plain == name
}
