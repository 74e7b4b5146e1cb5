package policy_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

func TestHeaderValues(t *testing.T) {
	f := func(body, path, want string) {
		t.Helper()
		v, err := compile(t, nil, policy.Header{Name: "X-It", Path: path}).View(&upstream.Session{Body: []byte(body)}, nil)
		if err != nil {
			t.Errorf("%s of %s: %v", path, body, err)
			return
		}
		if len(v.Fields) != 1 || string(v.Fields[0].Name) != "X-It" || string(v.Fields[0].Value) != want {
			t.Errorf("%s of %s: %q, want %q", path, body, v.Fields, want)
		}
	}
	// what there is
	f(`{"a":"b"}`, "a", "b")
	f(`{"identity":{"traits":{"email":"a@b.example"}}}`, "identity.traits.email", "a@b.example")
	f(`{"a":{"b.c":"d"}}`, `a.b\.c`, "d")
	f(`{"a":[{"b":"c"}]}`, "a.0.b", "c")
	f(`{"a":["b","c"]}`, "a.#", "2")
	f(`{"a":12.50}`, "a", "12.50")
	f(`{"a":-1e5}`, "a", "-1e5")
	f(`{"a":12345678901234567890123}`, "a", "12345678901234567890123")
	f(`{"a":true,"b":false}`, "a", "true")
	f(`{"a":true,"b":false}`, "b", "false")
	// what there is not
	f(`{"a":"b"}`, "x", "")
	f(`{"a":"b"}`, "a.x", "")
	f(`{"a":null}`, "a", "")
	f(`{"a":""}`, "a", "")
	f(`{}`, "a", "")
	f(``, "a", "")
	// strings that could be read as something else
	f(`{"a":"a\r\nX-Role: admin"}`, "a", "a%0D%0AX-Role: admin")
	f(`{"a":"a\u0000b\u007fc\td"}`, "a", "a%00b%7Fc%09d")
	f(`{"a":"Zoë"}`, "a", "Zo%C3%AB")
	f(`{"a":"\u2028\ud83d\ude00"}`, "a", "%E2%80%A8%F0%9F%98%80")
	f(`{"a":"100%"}`, "a", "100%25")
	f(`{"a":"%41"}`, "a", "%2541")
	f(`{"a":" b c "}`, "a", "%20b c%20")
	f(`{"a":" "}`, "a", "%20")
	f(`{"a":"  "}`, "a", "%20%20")
	f(`{"a":"[\"admin\"]"}`, "a", `%5B"admin"]`)
	f(`{"a":"{\"b\":1}"}`, "a", `%7B"b":1}`)
	f(`{"a":"\"b\""}`, "a", `%22b"`)
	f(`{"a":"b[\"c\"]"}`, "a", `b["c"]`)
	f(`{"a":"b,c"}`, "a", "b,c")
	// lists and objects
	f(`{"a":["b","c"]}`, "a", `["b","c"]`)
	f(`{"a":["b,c", "d\"e"]}`, "a", `["b,c","d\"e"]`)
	f(`{"a":[]}`, "a", `[]`)
	f(`{"a": { "b" : [ 1 , true , null ] } }`, "a", `{"b":[1,true,null]}`)
	f("{\"a\":[\"Zoë\",\"\U0001f600\",\"\x7f\"]}", "a", `["Zo\u00eb","\ud83d\ude00","\u007f"]`)
	f(`{"a":["b\r\nc"]}`, "a", `["b\r\nc"]`)
	f(`{"a":[{"b":"c"},{"b":"d"}]}`, "a.#.b", `["c","d"]`)
	// bodies that are no JSON
	f("{\"a\":12\r\nX: y}", "a", "12")
	f("{\"a\":1\xffz}", "a", "1%FFz")
}

func TestValuesThatCannotBeHeaders(t *testing.T) {
	f := func(body string, want string) {
		t.Helper()
		p := compile(t, nil, policy.Header{Name: "X-Id", Path: "id"}, policy.Header{Name: "X-It", Path: "a"})
		s := &upstream.Session{Body: []byte(body)}
		for range 2 { // a failure is not remembered as a success
			if v, err := p.View(s, nil); err == nil || v != nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%.40s: %v, %v, want %q", body, v, err, want)
			}
		}
	}
	long := strings.Repeat("x", policy.MaxValue)
	f(`{"id":"1","a":"x`+long+`"}`, "render identity header X-It from a: value of 8193 bytes is over the limit of 8192")
	f(`{"id":"1","a":["`+long+`"]}`, "over the limit")
	f(`{"id":"1","a":"`+strings.Repeat("ë", policy.MaxValue/6+1)+`"}`, "over the limit") // once encoded
	f(`{"id":"1","a":[1,}`, "read JSON value")
	f("{\"id\":\"1\",\"a\":[\"b\nc\"]}", "read JSON value")

	p := compile(t, nil, policy.Header{Name: "X-It", Path: "a"})
	if v, err := p.View(&upstream.Session{Body: []byte(`{"a":"` + long + `"}`)}, nil); err != nil ||
		len(v.Fields[0].Value) != policy.MaxValue {
		t.Errorf("the longest value: %v", err)
	}
	_, err := p.View(&upstream.Session{Body: []byte(`{"a":"secret` + long + `"}`)}, nil)
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("an error with the value in it: %v", err)
	}
}

// Whatever a user is called, the header says exactly that, on one line, and never looks like a list.
func TestStringsHaveOneReading(t *testing.T) {
	p := compile(t, nil, policy.Header{Name: "X-It", Path: "a"})
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.String().Draw(t, "name") // of runes, as in JSON
		list := rapid.Bool().Draw(t, "list")
		var data any = name
		if list {
			data = []string{name, "x"}
		}
		body, err := json.Marshal(map[string]any{"a": data})
		if err != nil {
			t.Fatal(err)
		}
		v, err := p.View(&upstream.Session{Body: body}, nil)
		if err != nil {
			t.Fatal(err)
		}
		value := string(v.Fields[0].Value)
		for _, b := range []byte(value) {
			if b < 0x20 || b > 0x7e {
				t.Fatalf("%q became %q", name, value)
			}
		}
		h := http.Header{"X-It": {value}}
		var out strings.Builder
		if err := h.Write(&out); err != nil || out.String() != "X-It: "+value+"\r\n" {
			t.Fatalf("%q became %q, which is written as %q", name, value, out.String())
		}
		if list {
			var back []string
			if err := json.Unmarshal([]byte(value), &back); err != nil || back[0] != name {
				t.Fatalf("%q became %q, which is read as %q, %v", name, value, back, err)
			}
			return
		}
		if back, err := url.PathUnescape(value); err != nil || back != name {
			t.Fatalf("%q became %q, which is read as %q, %v", name, value, back, err)
		}
		if value != "" && strings.ContainsRune(`[{"`, rune(value[0])) {
			t.Fatalf("%q became %q, which looks like a list", name, value)
		}
	})
}

// A view is made once for a session and a policy; another policy makes its own of the same session.
func TestViewsAreRemembered(t *testing.T) {
	headers := []policy.Header{{Name: "X-B", Path: "b"}, {Name: "X-A", Path: "a"}}
	first := compile(t, nil, headers...)
	second := compile(t, nil, policy.Header{Name: "X-A", Path: "a"})
	headers[0].Name = "changed by the caller"
	s := &upstream.Session{Body: []byte(`{"a":"1","b":"2"}`)}
	view := func(p *policy.Policy, s *upstream.Session) *policy.View {
		t.Helper()
		v, err := p.View(s, nil)
		if err != nil || v.Policy() != p {
			t.Fatal(v, err)
		}
		return v
	}
	v := view(first, s)
	if len(v.Fields) != 2 || string(v.Fields[0].Name) != "X-B" || string(v.Fields[0].Value) != "2" || string(v.Fields[1].Value) != "1" {
		t.Errorf("fields %q", v.Fields)
	}
	if view(first, s) != v {
		t.Error("the view was made again")
	}
	if w := view(second, s); w == v || len(w.Fields) != 1 || string(w.Fields[0].Name) != "X-A" {
		t.Errorf("fields %q of the other policy", w.Fields)
	}
	if w := view(first, s); len(w.Fields) != 2 {
		t.Errorf("fields %q", w.Fields)
	}
	if n := testing.AllocsPerRun(100, func() { view(first, s) }); n != 0 {
		t.Errorf("%v allocations for a view that is remembered", n)
	}

	// Without a session every header is there, and empty.
	none := view(first, nil)
	if len(none.Fields) != 2 || len(none.Fields[0].Value)+len(none.Fields[1].Value) > 0 || view(first, nil) != none {
		t.Errorf("fields %q", none.Fields)
	}
}

// Requests of one session may meet two policies at once.
func TestViewsDuringReload(t *testing.T) {
	policies := []*policy.Policy{
		compile(t, nil, policy.Header{Name: "X-A", Path: "a"}), compile(t, nil, policy.Header{Name: "X-B", Path: "b"}),
	}
	want := []string{"X-A1", "X-B2"}
	s := &upstream.Session{Body: []byte(`{"a":"1","b":"2"}`)}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 1000 {
				v, err := policies[i%2].View(s, nil)
				if err != nil || string(v.Fields[0].Name)+string(v.Fields[0].Value) != want[i%2] {
					t.Error(v, err)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestNames(t *testing.T) {
	var names []string
	for _, v := range policy.Verdicts {
		names = append(names, v.String())
	}
	if got := strings.Join(names, " "); got != "denied allowed unauthenticated refused unavailable malformed limited" {
		t.Errorf("verdicts %q", got)
	}
	p := compile(t, nil, policy.Header{Name: "X-A", Path: "a"})
	if len(p.Headers()) != 1 || p.Headers()[0].Name != "X-A" || len(p.Routes()) != 0 {
		t.Errorf("headers %v routes %v", p.Headers(), p.Routes())
	}
}
