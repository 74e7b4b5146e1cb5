package webhook

import (
	"encoding/json"

	"github.com/tidwall/gjson"
)

// A message is what has ended.
type message struct {
	sessions, identities []string
	all                  bool
}

// read reads a message: {"session_id": …}, {"identity_id": …} or {"all": true}, by itself or below data or, as an event of the type
// session.deleted, with the session's id as data.id. Of a field that is there more than once all values count, since servers do not agree on
// which of them does. It fails if nothing has ended, and if a field is not what it should be: whoever sent it may have meant something.
func read(body []byte) (message, error) {
	if !json.Valid(body) { // which also bounds the nesting
		return message{}, ErrUnread
	}
	var m message
	whole := gjson.ParseBytes(body)
	parts, deleted := []gjson.Result{whole}, false
	whole.ForEach(func(key, value gjson.Result) bool {
		switch {
		case !whole.IsObject():
		case key.Str == "data" && value.IsObject():
			parts = append(parts, value)
		case key.Str == "type" && value.Type == gjson.String && value.Str == "session.deleted":
			deleted = true
		}
		return true
	})
	for i, part := range parts {
		if !part.IsObject() || !m.add(part, deleted && i > 0) {
			return message{}, ErrUnread
		}
	}
	if len(m.sessions)+len(m.identities) == 0 && !m.all {
		return message{}, ErrUnread
	}
	return m, nil
}

// add adds what the fields of an object say. It reports false if one of them is not what it should be. What is null or empty says nothing.
func (m *message) add(object gjson.Result, isDeletedSession bool) bool {
	ok := true
	object.ForEach(func(key, value gjson.Result) bool {
		switch {
		case key.Str == "session_id", key.Str == "id" && isDeletedSession:
			m.sessions, ok = appendID(m.sessions, value)
		case key.Str == "identity_id":
			m.identities, ok = appendID(m.identities, value)
		case key.Str == "all":
			m.all = m.all || value.Type == gjson.True
			ok = value.Type == gjson.True || value.Type == gjson.False || value.Type == gjson.Null
		}
		return ok
	})
	return ok
}

func appendID(ids []string, value gjson.Result) ([]string, bool) {
	switch {
	case value.Type == gjson.Null, value.Type == gjson.String && value.Str == "":
		return ids, true
	case value.Type != gjson.String:
		return ids, false
	default:
		return append(ids, value.Str), true
	}
}

// tell tells the cache, and returns when all of it is in force.
func (m *message) tell(cache Cache) {
	for _, id := range m.sessions {
		cache.RevokeSession(id)
	}
	for _, id := range m.identities {
		cache.RevokeIdentity(id)
	}
	if m.all {
		cache.Flush()
	}
}
