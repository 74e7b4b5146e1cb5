package embedded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// The file has three buckets: the records by id, as JSON, and what is there once.
var (
	bucketSessions   = []byte("sessions")
	bucketIdentities = []byte("identities")
	bucketMeta       = []byte("meta")

	metaKey    = []byte("key")
	metaFormat = []byte("format")
	format     = []byte("1")
)

// A file keeps the state over restarts. A nil file keeps nothing, and is what a service in memory has.
type file struct {
	db     *bbolt.DB
	os     *os.File // of db
	broken error    // once bbolt has panicked: its locks may be held for ever, so it is not called again
}

// openFile opens or makes the file at path, and reads it. A new file keeps newKey; the key that the file holds is returned.
func openFile(path string, newKey []byte) (_ *file, key []byte, saved edit, err error) {
	f := &file{}
	err = f.calm(func() error {
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout: time.Second,
			OpenFile: func(name string, flag int, perm os.FileMode) (_ *os.File, err error) {
				f.os, err = os.OpenFile(name, flag, perm)
				return f.os, err
			},
		})
		f.db = db
		switch {
		case errors.Is(err, bbolterrors.ErrTimeout):
			return errors.New("another process has it open: end that one, or choose another file")
		case err != nil && f.os == nil:
			return err // not found, not permitted: the system's own words
		case err != nil:
			return damaged(err)
		}
		if key, saved, err = load(f.db, newKey); err != nil {
			return err
		}
		return f.os.Chmod(0o600)
	})
	if err != nil {
		_ = f.close()
		return nil, nil, edit{}, err
	}
	return f, key, saved, nil
}

// calm does what calls bbolt, which trusts what it reads: on damage it panics, or runs over the end of the mapped file. Neither may end
// the process, so both become an error.
func (f *file) calm(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			f.broken = damaged(fmt.Errorf("%v", p))
			err = f.broken
		}
	}()
	return do()
}

func load(db *bbolt.DB, newKey []byte) (key []byte, saved edit, err error) {
	empty := false
	err = db.View(func(tx *bbolt.Tx) error {
		if name, _ := tx.Cursor().First(); name == nil {
			empty = true
			return nil
		}
		key, saved, err = read(tx)
		return err
	})
	if err == nil && empty {
		return newKey, edit{}, db.Update(func(tx *bbolt.Tx) error { return initialise(tx, newKey) })
	}
	return key, saved, err
}

func damaged(err error) error {
	return fmt.Errorf("not a session file, or damaged: move it away to start with an empty one: %w", err)
}

func initialise(tx *bbolt.Tx, key []byte) error {
	for _, name := range [][]byte{bucketMeta, bucketSessions, bucketIdentities} {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(bucketMeta)
	return errors.Join(meta.Put(metaFormat, format), meta.Put(metaKey, key))
}

func read(tx *bbolt.Tx) (key []byte, saved edit, err error) {
	meta, sessions, identities := tx.Bucket(bucketMeta), tx.Bucket(bucketSessions), tx.Bucket(bucketIdentities)
	if meta == nil || sessions == nil || identities == nil || len(meta.Get(metaKey)) != keyLength {
		return nil, edit{}, damaged(errors.New("a part is missing"))
	}
	if got := meta.Get(metaFormat); !bytes.Equal(got, format) {
		return nil, edit{}, fmt.Errorf("it has format %q, of another version of this program; want %q", got, format)
	}
	if saved.identities, err = readBucket[identity](identities); err != nil {
		return nil, edit{}, err
	}
	if saved.sessions, err = readBucket[session](sessions); err != nil {
		return nil, edit{}, err
	}
	for id, x := range saved.sessions {
		if i := saved.identities[x.IdentityID]; x.ID != id || i == nil || i.ID != x.IdentityID {
			return nil, edit{}, damaged(fmt.Errorf("session %q does not fit its identity", id))
		}
	}
	return bytes.Clone(meta.Get(metaKey)), saved, nil
}

func readBucket[T any](b *bbolt.Bucket) (map[string]*T, error) {
	all := map[string]*T{}
	err := b.ForEach(func(id, data []byte) error {
		v := new(T)
		if err := json.Unmarshal(data, v); err != nil {
			return damaged(fmt.Errorf("record %q: %w", id, err))
		}
		all[string(id)] = v
		return nil
	})
	return all, err
}

// write makes e durable, all of it or nothing.
func (f *file) write(e edit) error {
	if f == nil || len(e.sessions)+len(e.identities) == 0 {
		return nil
	}
	if f.broken != nil {
		return f.broken
	}
	return f.calm(func() error {
		return f.db.Update(func(tx *bbolt.Tx) error {
			return errors.Join(
				writeBucket(tx.Bucket(bucketSessions), e.sessions),
				writeBucket(tx.Bucket(bucketIdentities), e.identities))
		})
	})
}

func writeBucket[T any](b *bbolt.Bucket, versions map[string]*T) error {
	for id, v := range versions {
		if v == nil {
			if err := b.Delete([]byte(id)); err != nil {
				return err
			}
			continue
		}
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if err := b.Put([]byte(id), data); err != nil {
			return err
		}
	}
	return nil
}

func (f *file) close() error {
	switch {
	case f == nil || f.os == nil:
		return nil
	case f.broken != nil:
		return f.os.Close() // gives up the lock on the file
	case f.db == nil:
		return nil // bbolt has closed what it could not open
	}
	return f.db.Close()
}
