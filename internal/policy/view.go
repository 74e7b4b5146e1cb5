package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"unicode/utf8"
	"unsafe"

	"github.com/tidwall/gjson"
)

// MaxValue is the longest value of an identity header, in bytes. Servers commonly refuse request heads of more than 8 KiB, so a value
// beyond that would fail later and less clearly.
const MaxValue = 8 << 10

// A View is what one policy makes of one session: every identity header once, in order, empty where the session has no such value; what
// the session does not meet of all that routes require; and the tokens that were signed for it. Apart from the tokens it is immutable.
type View struct {
	Fields []Field
	policy *Policy
	unmet  []error                 // by condition; nil if it is met
	tokens []atomic.Pointer[Token] // by audience
}

// Policy returns the policy that made the view.
func (v *View) Policy() *Policy { return v.policy }

// A Field is one identity header, ready to be written.
type Field struct{ Name, Value []byte }

// render computes the identity headers of a session of service from its statement; no statement has no values.
func (p *Policy) render(statement []byte, service Service) (*View, error) {
	v := &View{policy: p, Fields: make([]Field, 0, len(p.headers))}
	text := unsafe.String(unsafe.SliceData(statement), len(statement)) // nobody changes it, and no value is kept as it stands there
	for i, h := range p.headers {
		path, own := h.Paths[service]
		if !own {
			path = h.Path
		}
		value, err := headerValue(gjson.Get(text, path))
		if err != nil {
			return nil, fmt.Errorf("render identity header %s from %s: %w", h.Name, path, err)
		}
		f := Field{Value: value}
		if p.empty != nil {
			f.Name = p.empty.Fields[i].Name // one for all
		} else {
			f.Name = []byte(h.Name)
		}
		v.Fields = append(v.Fields, f)
	}
	return v, nil
}

// headerValue turns a JSON value into a header value that has exactly one reading:
//
//   - what does not exist, and null, is empty;
//   - numbers and booleans are as they stand in the JSON;
//   - lists and objects are compact JSON in ASCII, so that a comma inside of an element can never look like a second element;
//   - a string is itself, with every byte percent-encoded that a header cannot carry, and '%', so that decoding is always right. A first
//     '[', '{' or '"' is encoded too, so that no user can choose a name that reads like a list.
func headerValue(r gjson.Result) ([]byte, error) {
	var out []byte
	switch r.Type {
	case gjson.Null:
		return nil, nil
	case gjson.String:
		out = percentEncode(r.Str)
	case gjson.JSON:
		var err error
		if out, err = asciiJSON(r.Raw); err != nil {
			return nil, err
		}
	default: // numbers, true, false: nothing to encode in them, unless the body is not the JSON that it should be
		out = percentEncode(r.Raw)
	}
	if len(out) > MaxValue {
		return nil, fmt.Errorf("value of %d bytes is over the limit of %d: choose a smaller part of the session", len(out), MaxValue)
	}
	return out, nil
}

func percentEncode(s string) []byte {
	const hex = "0123456789ABCDEF"
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		b := s[i]
		switch {
		case b < 0x20, b > 0x7e, b == '%',
			b == ' ' && (i == 0 || i == len(s)-1), // outer blanks do not survive a header
			i == 0 && (b == '[' || b == '{' || b == '"'):
			out = append(out, '%', hex[b>>4], hex[b&15])
		default:
			out = append(out, b)
		}
	}
	return out
}

// asciiJSON compacts raw and escapes everything beyond ASCII, as JSON allows for every character.
func asciiJSON(raw string) ([]byte, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(raw)); err != nil {
		return nil, fmt.Errorf("read JSON value: %w", err)
	}
	out := make([]byte, 0, compact.Len())
	for b := compact.Bytes(); len(b) > 0; {
		if b[0] < utf8.RuneSelf {
			if b[0] == 0x7f {
				out = append(out, `\u007f`...)
			} else {
				out = append(out, b[0])
			}
			b = b[1:]
			continue
		}
		r, size := utf8.DecodeRune(b)
		if r > 0xffff {
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		} else {
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		b = b[size:]
	}
	return out, nil
}
