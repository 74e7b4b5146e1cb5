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
	v := &View{policy: p, Fields: make([]Field, len(p.headers))}
	text := unsafe.String(unsafe.SliceData(statement), len(statement)) // nobody changes it, and no value is kept as it stands there
	values := make([]byte, 0, 32*len(p.headers))                       // one after the other
	for i, h := range p.headers {
		path, own := h.Paths[service]
		if !own {
			path = h.Path
		}
		begin, err := len(values), error(nil)
		if values, err = appendHeaderValue(values, gjson.Get(text, path)); err != nil {
			return nil, fmt.Errorf("render identity header %s from %s: %w", h.Name, path, err)
		}
		f := &v.Fields[i]
		f.Value = values[begin:len(values):len(values)]
		if p.empty != nil {
			f.Name = p.empty.Fields[i].Name // one for all
		} else {
			f.Name = []byte(h.Name)
		}
	}
	return v, nil
}

// appendHeaderValue appends a JSON value as a header value that has exactly one reading:
//
//   - what does not exist, and null, is empty;
//   - numbers and booleans are as they stand in the JSON;
//   - lists and objects are compact JSON in ASCII, so that a comma inside of an element can never look like a second element;
//   - a string is itself, with every byte percent-encoded that a header cannot carry, and '%', so that decoding is always right. A first
//     '[', '{' or '"' is encoded too, so that no user can choose a name that reads like a list.
func appendHeaderValue(dst []byte, r gjson.Result) ([]byte, error) {
	begin := len(dst)
	switch r.Type {
	case gjson.Null:
	case gjson.String:
		dst = appendPercentEncoded(dst, r.Str)
	case gjson.JSON:
		var err error
		if dst, err = appendASCII(dst, r.Raw); err != nil {
			return nil, err
		}
	default: // numbers, true, false: nothing to encode in them, unless the body is not the JSON that it should be
		dst = appendPercentEncoded(dst, r.Raw)
	}
	if n := len(dst) - begin; n > MaxValue {
		return nil, fmt.Errorf("value of %d bytes is over the limit of %d: choose a smaller part of the session", n, MaxValue)
	}
	return dst, nil
}

func appendPercentEncoded(dst []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		b := s[i]
		switch {
		case b < 0x20, b > 0x7e, b == '%',
			b == ' ' && (i == 0 || i == len(s)-1), // outer blanks do not survive a header
			i == 0 && (b == '[' || b == '{' || b == '"'):
			dst = append(dst, '%', hex[b>>4], hex[b&15])
		default:
			dst = append(dst, b)
		}
	}
	return dst
}

// appendASCII appends raw JSON, compacts it, and escapes everything beyond ASCII, as JSON allows for every character.
func appendASCII(dst []byte, raw string) ([]byte, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(raw)); err != nil {
		return nil, fmt.Errorf("read JSON value: %w", err)
	}
	for b := compact.Bytes(); len(b) > 0; {
		if b[0] < utf8.RuneSelf {
			if b[0] == 0x7f {
				dst = append(dst, `\u007f`...)
			} else {
				dst = append(dst, b[0])
			}
			b = b[1:]
			continue
		}
		r, size := utf8.DecodeRune(b)
		if r > 0xffff {
			r -= 0x10000
			dst = fmt.Appendf(dst, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		} else {
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
		b = b[size:]
	}
	return dst, nil
}
