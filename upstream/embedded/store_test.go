package embedded_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/gatehouse-proxy/gatehouse/upstream/embedded"
)

// What one service did, the next one knows; and no credential is in the file.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions.db")
	w := open(t, embedded.Config{Path: path})
	n := user("a@example.test")
	n.AAL, n.RequireAAL2 = "aal2", true
	n.Devices = []embedded.Device{{Location: "here"}}
	kept, ended := w.create(n), w.create(n)
	gone := w.create(user("b@example.test"))
	w.must("DELETE", "/admin/sessions/"+ended.SessionID, "")
	w.must("DELETE", "/admin/identities/"+gone.IdentityID, "")
	logout := w.public("GET", "/self-service/logout/browser", "", cookieHeader(kept)).body
	whoami := w.public("GET", "/sessions/whoami", "", tokenHeader(kept)).body
	counts := w.s.Counts()
	if err := w.s.Close(); err != nil {
		t.Fatal(err)
	}

	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{kept.SessionToken, kept.SessionCookie.Value, strings.Split(logout, `"`)[7], ended.SessionToken} {
		_, secret, _ = strings.Cut(secret, "ory_")
		if secret != "" && bytes.Contains(data, []byte(secret)) {
			t.Error("a credential is in the file")
		}
	}

	w = open(t, embedded.Config{Path: path})
	for _, credential := range []string{tokenHeader(kept), cookieHeader(kept)} {
		if got := w.public("GET", "/sessions/whoami", "", credential).body; got != whoami {
			t.Errorf("whoami was %s and is %s", whoami, got)
		}
	}
	if got := w.public("GET", "/self-service/logout/browser", "", cookieHeader(kept)).body; got != logout {
		t.Errorf("logout was %s and is %s", logout, got)
	}
	for _, c := range []embedded.Created{ended, gone} {
		if got := w.whoami(tokenHeader(c)); got != 401 {
			t.Errorf("a session that was ended: %d", got)
		}
	}
	if got := w.s.Counts(); got != counts {
		t.Errorf("%v; want %v", got, counts)
	}
}

func TestFileOfAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions.db")
	open(t, embedded.Config{Path: path})
	_, err := embedded.Open(embedded.Config{Path: path})
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "another process has it open") {
		t.Errorf("got %v", err)
	}
}

// A file that others can read is closed to them.
func TestFileModeIsMended(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	open(t, embedded.Config{Path: path})
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
}

func TestFileThatIsNone(t *testing.T) {
	f := func(name, want string, write func(path string) error) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sessions.db")
			if err := write(path); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the lock is given up, so that the second answer is the same
				s, err := embedded.Open(embedded.Config{Path: path})
				if err == nil {
					_ = s.Close()
					t.Fatal("was opened")
				}
				if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v; want %s", err, want)
				}
			}
		})
	}
	bucket := func(fill func(tx *bbolt.Tx) error) func(string) error {
		return func(path string) error {
			s, err := embedded.Open(embedded.Config{Path: path})
			if err == nil {
				_, err = s.Create(user("a@example.test"))
			}
			if err == nil {
				err = s.Close()
			}
			if err != nil {
				return err
			}
			db, err := bbolt.Open(path, 0o600, nil)
			if err != nil {
				return err
			}
			defer db.Close()
			return db.Update(fill)
		}
	}
	put := func(bucketName, key, value string) func(string) error {
		return bucket(func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucketName)).Put([]byte(key), []byte(value)) })
	}
	const damaged = "not a session file, or damaged: move it away"
	f("text", damaged, func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("text\n", 10000)), 0o600) })
	f("short", damaged, func(path string) error { return os.WriteFile(path, []byte("text"), 0o600) })
	f("directory", "is a directory", func(path string) error { return os.Mkdir(path, 0o700) })
	f("other database", damaged, func(path string) error {
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			return err
		}
		defer db.Close()
		return db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("x")); return err })
	})
	f("other format", `format "2"`, put("meta", "format", "2"))
	f("short key", damaged, put("meta", "key", "short"))
	f("bad record", damaged, put("sessions", "x", "{"))
	f("null record", damaged, put("sessions", "x", "null"))
	f("misplaced record", damaged, put("sessions", "x", `{"ID":"y"}`))
	f("no identity", damaged, bucket(func(tx *bbolt.Tx) error {
		if err := tx.DeleteBucket([]byte("identities")); err != nil {
			return err
		}
		_, err := tx.CreateBucket([]byte("identities"))
		return err
	}))
	if _, err := embedded.Open(embedded.Config{Path: filepath.Join(t.TempDir(), "no", "such", "place")}); err == nil {
		t.Error("a file in no directory was opened")
	}
}

// fill makes a file with some sessions, and returns what is in it, and the last session.
func fill(t *testing.T, path string) ([]byte, embedded.Created) {
	t.Helper()
	w := open(t, embedded.Config{Path: path})
	var c embedded.Created
	for n := range 40 {
		c = w.create(user(fmt.Sprintf("%d@example.test", n)))
	}
	if err := w.s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data, c
}

// survives opens a file that holds data, and writes to it if that can be done. It returns how many sessions there were, and whether the
// file was opened.
func survives(t *testing.T, path string, data []byte) (sessions int, opened bool) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := embedded.Open(embedded.Config{Path: path})
	if err != nil {
		return 0, false
	}
	sessions = s.Counts()[0]
	_, _ = s.Create(user("new@example.test"))
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	return sessions, true
}

// A file that is cut off is refused, unless only unused pages are lost.
func TestTruncatedFile(t *testing.T) {
	dir := t.TempDir()
	data, _ := fill(t, filepath.Join(dir, "whole.db"))
	refused := 0
	for size := 512; size <= len(data); size += 512 {
		sessions, opened := survives(t, filepath.Join(dir, fmt.Sprint(size)), data[:size])
		if !opened {
			refused++
		} else if sessions != 40 {
			t.Errorf("%d sessions in %d of %d bytes", sessions, size, len(data))
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}
