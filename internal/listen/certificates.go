package listen

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Files are where a listener has its TLS from, in PEM.
type Files struct {
	Cert       string // the certificate and, after it, those that lead to its authority
	Key        string // of the certificate, not encrypted
	ClientCA   string // the authorities of client certificates; empty for none
	ClientAuth tls.ClientAuthType
}

// An Observer is told about certificates.
type Observer interface {
	// CertificateLoaded says that a listener has a certificate that ends at notAfter.
	CertificateLoaded(listener string, notAfter time.Time)
	// CertificatesReloaded says whether all listeners have what their files say.
	CertificatesReloaded(ok bool)
}

// Certificates keeps the TLS of all listeners up to date with their files. It is safe for concurrent use.
type Certificates struct {
	log      *slog.Logger
	observer Observer
	mu       sync.Mutex
	all      []*certificate
}

// NewCertificates returns a Certificates without any.
func NewCertificates(log *slog.Logger, observer Observer) *Certificates {
	observer.CertificatesReloaded(true)
	return &Certificates{log: log, observer: observer}
}

// Add loads the files of a listener, and returns a configuration that follows them from then on.
func (cs *Certificates) Add(listener string, files Files) (*tls.Config, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c := &certificate{listener: listener, files: files}
	if cs.load(c, true); c.err != nil {
		return nil, c.err
	}
	cs.all = append(cs.all, c)
	// The keys of session tickets are those of this configuration, so that sessions outlive a change of certificates, and do not pass
	// from one listener to another.
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current.Load(), nil },
	}, nil
}

// Reload loads all files again, whether they have changed or not. The error tells of every listener that stays as it was.
func (cs *Certificates) Reload() error { return cs.reload(true) }

// pollInterval is how often the files are read. It is not the names or times of files that count but what they hold, so that it does not
// matter how they are replaced: written over, renamed, or by a link above them, as Kubernetes does.
const pollInterval = 15 * time.Second

// Watch loads what changes in the files, until ctx ends.
func (cs *Certificates) Watch(ctx context.Context) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = cs.reload(false) // it is in the log
		case <-ctx.Done():
			return
		}
	}
}

func (cs *Certificates) reload(force bool) error {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	ok := true
	var errs []error
	for _, c := range cs.all {
		if tried := cs.load(c, force); tried && c.err != nil {
			cs.log.Error("certificate was not loaded: the one before stays in force", "address", c.listener, "error", c.err)
			errs = append(errs, fmt.Errorf("listener %s: %w", c.listener, c.err))
		}
		ok = ok && c.err == nil
	}
	cs.observer.CertificatesReloaded(ok)
	return errors.Join(errs...)
}

// load loads the files of a listener if they have changed since that was last tried, or if force is set, and reports whether it tried.
// What came of it is c.err.
func (cs *Certificates) load(c *certificate, force bool) (tried bool) {
	all, digest, err := c.files.read()
	if !force && digest == c.tried {
		return false
	}
	var cfg *tls.Config
	if err == nil {
		cfg, err = c.files.parse(all)
	}
	if c.tried, c.err = digest, err; err != nil {
		return true
	}
	c.current.Store(cfg)
	notAfter := cfg.Certificates[0].Leaf.NotAfter
	cs.observer.CertificateLoaded(c.listener, notAfter)
	if time.Now().After(notAfter) {
		cs.log.Warn("certificate has expired: clients will refuse it", "address", c.listener, "not_after", notAfter)
	} else {
		cs.log.Info("certificate was loaded", "address", c.listener, "not_after", notAfter)
	}
	return true
}

// A certificate is what a listener shows and asks for.
type certificate struct {
	listener string
	files    Files
	current  atomic.Pointer[tls.Config]
	tried    [sha256.Size]byte // the digest of what was last loaded, or could not be
	err      error             // what came of it
}

// contents are what the files held: certificate, key and authorities.
type contents [3][]byte

// read returns what the files hold, and a digest of it. The digest of what could not be read is that of the error.
func (f Files) read() (all contents, digest [sha256.Size]byte, err error) {
	hash := sha256.New()
	for i, name := range []string{f.Cert, f.Key, f.ClientCA} {
		if name == "" {
			continue
		}
		if all[i], err = os.ReadFile(name); err != nil {
			return all, sha256.Sum256([]byte(err.Error())), err
		}
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(all[i])))
		hash.Write(length[:])
		hash.Write(all[i])
	}
	hash.Sum(digest[:0])
	return all, digest, nil
}

func (f Files) parse(all contents) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(all[0], all[1])
	if err != nil {
		return nil, fmt.Errorf("load certificate from %s and its key from %s: %w", f.Cert, f.Key, err)
	}
	cfg := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"http/1.1"}, // HTTP/2 is not spoken
		Certificates: []tls.Certificate{pair},
		ClientAuth:   f.ClientAuth,
	}
	if f.ClientCA != "" {
		cfg.ClientCAs = x509.NewCertPool()
		if !cfg.ClientCAs.AppendCertsFromPEM(all[2]) {
			return nil, fmt.Errorf("load authorities of client certificates from %s: there is no certificate in it", f.ClientCA)
		}
	}
	return cfg, nil
}
