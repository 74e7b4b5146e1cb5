package sessionapi

import (
	"bytes"
	"encoding/json"
	"strings"
)

// tokensIn returns every text that a JSON object may have under a name, at the top. Services differ in what they make of names that are written
// twice or in other letters, so all of them count.
func tokensIn(body []byte, name string) (tokens []string) {
	d := json.NewDecoder(bytes.NewReader(body))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return tokens
		}
		var value any
		if d.Decode(&value) != nil {
			return tokens
		}
		if text, ok := value.(string); ok && text != "" && strings.EqualFold(key.(string), name) {
			tokens = append(tokens, text)
		}
	}
	return tokens
}

// namedBy returns the ids that the last segment of a path may stand for: what it is and, if it is a UUID in another spelling, the usual one.
// Kratos takes capitals, braces, no hyphens, and urn:uuid: before it.
//
// https://pkg.go.dev/github.com/gofrs/uuid#UUID.UnmarshalText
func namedBy(path []byte) []string {
	id := string(path[bytes.LastIndexByte(path, '/')+1:])
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'f' {
			return r
		}
		return -1
	}, strings.TrimPrefix(strings.ToLower(id), "urn:uuid:"))
	if len(digits) != 32 {
		return []string{id}
	}
	usual := strings.Join([]string{digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]}, "-")
	if usual == id {
		return []string{id}
	}
	return []string{id, usual}
}
