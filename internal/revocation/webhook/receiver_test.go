package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/revocation/webhook"
)

const (
	secret  = "a-secret-of-at-least-24-bytes"
	another = "another-secret-of-24-bytes-or-more"
	key     = "an-api-key-of-at-least-24-bytes"
)

type ledger struct{ told []string }

func (l *ledger) RevokeSession(id string)  { l.told = append(l.told, "session "+id) }
func (l *ledger) RevokeIdentity(id string) { l.told = append(l.told, "identity "+id) }
func (l *ledger) Flush()                   { l.told = append(l.told, "all") }

func sign(secret, id string, at time.Time, body string) func(string) string {
	stamp := fmt.Sprint(at.Unix())
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(id + "." + stamp + "." + body))
	return headers(map[string]string{
		webhook.IDHeader: id, webhook.TimestampHeader: stamp, webhook.SignatureHeader: "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)),
	})
}

func headers(m map[string]string) func(string) string {
	return func(name string) string { return m[name] }
}

// with returns headers with one of them changed.
func with(h func(string) string, name, value string) func(string) string {
	return func(n string) string {
		if n == name {
			return value
		}
		return h(n)
	}
}

func newReceiver(t *testing.T, l *ledger) *webhook.Receiver {
	t.Helper()
	r, err := webhook.New(l, []string{another, "whsec_" + base64.StdEncoding.EncodeToString([]byte(secret))}, []string{key})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAuthentication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const body = `{"session_id":"s"}`
		n := 0
		id := func() string { n++; return fmt.Sprint("msg_", n) }
		f := func(h func(string) string, body string, want error) {
			t.Helper()
			var l ledger
			err := newReceiver(t, &l).Receive(h, []byte(body))
			if !errors.Is(err, want) || (err == nil) != (len(l.told) == 1) {
				t.Errorf("error %v, want %v; told %q", err, want, l.told)
			}
		}
		now := time.Now()
		f(sign(secret, id(), now, body), body, nil)
		f(sign(another, id(), now, body), body, nil)
		f(sign("a-third-secret-of-24-bytes-or-more", id(), now, body), body, webhook.ErrUnsigned)
		f(sign(secret, id(), now, body), body+" ", webhook.ErrUnsigned)
		f(with(sign(secret, id(), now, body), webhook.IDHeader, "msg_other"), body, webhook.ErrUnsigned)
		f(with(sign(secret, id(), now, body), webhook.TimestampHeader, fmt.Sprint(now.Unix()+1)), body, webhook.ErrUnsigned)
		f(with(sign(secret, id(), now, body), webhook.IDHeader, ""), body, webhook.ErrUnsigned)
		f(sign(secret, "", now, body), body, webhook.ErrUnsigned)
		f(sign(secret, strings.Repeat("m", 256), now, body), body, nil)
		f(sign(secret, strings.Repeat("m", 257), now, body), body, webhook.ErrUnsigned)
		good := sign(secret, id(), now, body)
		f(with(good, webhook.SignatureHeader, "v1,AAAA v2,x "+good(webhook.SignatureHeader)), body, nil)
		f(with(good, webhook.SignatureHeader, strings.TrimPrefix(good(webhook.SignatureHeader), "v1,")), body, webhook.ErrUnsigned)
		f(with(good, webhook.SignatureHeader, "v1,"), body, webhook.ErrUnsigned)
		f(sign(secret, id(), now.Add(-webhook.Tolerance), body), body, nil)
		f(sign(secret, id(), now.Add(-webhook.Tolerance-time.Second), body), body, webhook.ErrOld)
		f(sign(secret, id(), now.Add(webhook.Tolerance+time.Second), body), body, webhook.ErrOld)
		f(headers(map[string]string{"Authorization": "Bearer " + key}), body, nil)
		f(headers(map[string]string{"Authorization": "bearer " + key}), body, nil)
		f(headers(map[string]string{"Authorization": "Basic " + key}), body, webhook.ErrUnsigned)
		f(headers(map[string]string{"Authorization": "Bearer " + key + "x"}), body, webhook.ErrUnsigned)
		f(headers(map[string]string{"Authorization": "Bearer "}), body, webhook.ErrUnsigned)
		f(headers(map[string]string{"Authorization": key}), body, webhook.ErrUnsigned)
		f(headers(nil), body, webhook.ErrUnsigned)
		// A signature that is wrong is not made good by a key: somebody has changed the message.
		f(with(with(good, webhook.SignatureHeader, "v1,AAAA"), "Authorization", "Bearer "+key), body, webhook.ErrUnsigned)
	})
}

// Two senders may give their messages the same ids, and one who signs with an old and a new secret is heard once, whichever signature is
// left of its message.
func TestReplayAcrossSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const body = `{"session_id":"s"}`
		var l ledger
		r := newReceiver(t, &l)
		now := time.Now()
		f := func(h func(string) string, want error) {
			t.Helper()
			if err := r.Receive(h, []byte(body)); !errors.Is(err, want) {
				t.Errorf("error %v, want %v", err, want)
			}
		}
		f(sign(secret, "msg_1", now, body), nil)
		f(sign(another, "msg_1", now, body), nil)
		f(sign(secret, "msg_1", now.Add(time.Second), body), webhook.ErrReplayed)

		before, after := sign(secret, "msg_2", now, body), sign(another, "msg_2", now, body)
		both := with(before, webhook.SignatureHeader, before(webhook.SignatureHeader)+" "+after(webhook.SignatureHeader))
		f(both, nil)
		f(both, webhook.ErrReplayed)
		f(before, webhook.ErrReplayed)
		f(after, webhook.ErrReplayed)
	})
}

// TestNothingIsKnownWithoutSecrets tests that a Receiver without secrets and keys believes nothing.
func TestNothingIsKnownWithoutSecrets(t *testing.T) {
	r, err := webhook.New(&ledger{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"all":true}`
	for _, h := range []func(string) string{headers(nil), sign("", "msg_1", time.Now(), body), headers(map[string]string{"Authorization": "Bearer "})} {
		if err := r.Receive(h, []byte(body)); !errors.Is(err, webhook.ErrUnsigned) {
			t.Errorf("error %v, want ErrUnsigned", err)
		}
	}
}

func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const body = `{"session_id":"s"}`
		var l ledger
		r := newReceiver(t, &l)
		first := sign(secret, "msg_1", time.Now().Add(webhook.Tolerance), body) // a clock that is ahead, so that it stays good for long
		f := func(h func(string) string, want error) {
			t.Helper()
			if err := r.Receive(h, []byte(body)); !errors.Is(err, want) {
				t.Errorf("error %v, want %v", err, want)
			}
		}
		f(first, nil)
		f(first, webhook.ErrReplayed)
		for range 10 {
			time.Sleep(webhook.Tolerance / 5)
			f(first, webhook.ErrReplayed)
		}
		time.Sleep(time.Second)
		f(first, webhook.ErrOld)
		second := sign(secret, "msg_2", time.Now(), body)
		f(second, nil)

		var other ledger
		r = r.For(&other)
		f(second, nil) // led astray, it does not spend the one that arrives, nor the other way round
		f(second, webhook.ErrReplayed)
		if len(l.told) != 2 || len(other.told) != 1 {
			t.Errorf("one cache was told %q, the other %q", l.told, other.told)
		}
	})
}

func TestMessages(t *testing.T) {
	f := func(body string, want ...string) {
		t.Helper()
		var l ledger
		err := newReceiver(t, &l).Receive(headers(map[string]string{"Authorization": "Bearer " + key}), []byte(body))
		if diff := cmp.Diff(want, l.told); diff != "" {
			t.Errorf("%s tells (-want +got):\n%s", body, diff)
		}
		if (want == nil) != errors.Is(err, webhook.ErrUnread) {
			t.Errorf("%s: error %v", body, err)
		}
	}
	f(`{"session_id":"s"}`, "session s")
	f(`{"identity_id":"i"}`, "identity i")
	f(`{"session_id":"s","identity_id":"i"}`, "session s", "identity i")
	f(`{"all":true}`, "all")
	f(`{"type":"session.deleted","data":{"id":"s","user_id":"u"}}`, "session s")
	f(`{"type":"session.deleted","data":{"session_id":"s"}}`, "session s")
	f(`{"type":"session.created","data":{"id":"s"}}`)
	f(`{"all":false}`)
	f(`{"all":"true"}`)
	f(`{"session_id":""}`)
	f(`{"session_id":7}`)
	f(`{}`)
	f(`[]`)
	f(`null`)
	f(``)
	f(`{"session_id":"s"`)

	// Readers differ in which of several fields counts, so that all do, however they are spelt.
	f(`{"session_id":"a","session_id":"b"}`, "session a", "session b")
	f(`{"data":{"session_id":"a"},"data":{"identity_id":"b"}}`, "session a", "identity b")
	f(`{"all":true,"all":false}`, "all")
	f(`{"type":"session.deleted","type":"x","data":{"id":"s"}}`, "session s")
	f(`{"session\u005fid":"\u0073"}`, "session s")

	// A sender who meant more than is understood is not told that it was done.
	f(`{"session_id":"s","identity_id":7}`)
	f(`{"session_id":"s","identity_id":["i"]}`)
	f(`{"session_id":"s","all":"true"}`)
	f(`{"session_id":"s","data":{"all":1}}`)
	f(`{"session_id":"s","identity_id":null,"all":null,"data":{}}`, "session s")
	f(`{"session_id":"s","id":7,"type":["session.deleted"],"data":[7],"x":{"all":"no"}}`, "session s")
	f(`[{"session_id":"s"}]`)
	f(`"session_id"`)
	f(`{"x":` + strings.Repeat("[", 60_000) + strings.Repeat("]", 60_000) + `,"session_id":"s"}`)
	f(`{"session_id":"s"}{"all":true}`)
	f("\xef\xbb\xbf" + `{"session_id":"s"}`)
}

func TestSecrets(t *testing.T) {
	f := func(secrets, keys []string) {
		t.Helper()
		if _, err := webhook.New(&ledger{}, secrets, keys); err == nil {
			t.Errorf("secrets %q and keys %q are accepted", secrets, keys)
		}
	}
	f([]string{"short"}, nil)
	f([]string{""}, nil)
	f([]string{"whsec_"}, nil)
	f([]string{"whsec_!!!"}, nil)
	f(nil, []string{"short"})
}

// What a body is not read for could not have been believed, and what can be believed is read.
func TestExpects(t *testing.T) {
	f := func(want bool, h map[string]string) {
		t.Helper()
		if got := newReceiver(t, &ledger{}).Expects(headers(h)); got != want {
			t.Errorf("%v: got %v", h, got)
		}
	}
	signed := sign(secret, "msg_1", time.Now(), "")
	f(true, map[string]string{
		webhook.IDHeader: "msg_1", webhook.TimestampHeader: signed(webhook.TimestampHeader), webhook.SignatureHeader: signed(webhook.SignatureHeader),
	})
	f(true, map[string]string{webhook.KeyHeader: "Bearer " + key})
	f(false, nil)
	f(false, map[string]string{webhook.KeyHeader: "Bearer " + secret})
	f(false, map[string]string{webhook.KeyHeader: key})
	f(false, map[string]string{webhook.IDHeader: strings.Repeat("m", 257), webhook.TimestampHeader: "1", webhook.SignatureHeader: "v1,"})
	f(false, map[string]string{webhook.SignatureHeader: signed(webhook.SignatureHeader), webhook.IDHeader: "msg_1"})
	f(false, map[string]string{webhook.SignatureHeader: signed(webhook.SignatureHeader), webhook.TimestampHeader: "1"})
	f(false, map[string]string{webhook.SignatureHeader: signed(webhook.SignatureHeader), webhook.KeyHeader: "Bearer " + key}) // one or the other

	onlyKeys, err := webhook.New(&ledger{}, nil, []string{key})
	if err != nil || onlyKeys.Expects(signed) {
		t.Errorf("a signature is expected by nobody who could verify it, error %v", err)
	}
}
