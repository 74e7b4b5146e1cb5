package identitytoken

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/go-jose/go-jose/v4"
)

// Files are where the keys are, in PEM.
type Files struct {
	Key    string   // the private key that signs, in PKCS #8 and not encrypted
	Others []string // further keys that are published and sign nothing: the next one, or the last one. Public (PKIX), or private as above
}

// Contents are what the files hold at one moment.
type Contents struct {
	key    []byte
	others [][]byte
	err    error

	// Digest tells contents apart. That of what could not be read is that of the error.
	Digest [sha256.Size]byte
	// Exposed are the files with a private key that every user of the machine can read.
	Exposed []string
}

// Read reads the files. What could not be read is an error of New.
func (f Files) Read() (c Contents) {
	hash := sha256.New()
	read := func(name string) []byte {
		data, err := os.ReadFile(name)
		if err != nil && c.err == nil {
			c.err = fmt.Errorf("read key: %w", err)
		}
		if info, err := os.Stat(name); err == nil && info.Mode().Perm()&0o004 != 0 && isPrivate(data) {
			c.Exposed = append(c.Exposed, name)
		}
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(data)))
		hash.Write(length[:])
		hash.Write(data)
		return data
	}
	c.key = read(f.Key)
	for _, name := range f.Others {
		c.others = append(c.others, read(name))
	}
	if c.err != nil {
		hash.Write([]byte(c.err.Error()))
	}
	hash.Sum(c.Digest[:0])
	return c
}

func isPrivate(data []byte) bool {
	block, _ := pem.Decode(data)
	return block != nil && block.Type == "PRIVATE KEY"
}

// parse returns the key that signs, and the set of all public keys, of which each is there once.
func (f Files) parse(c Contents) (signing jose.JSONWebKey, set jose.JSONWebKeySet, err error) {
	if c.err != nil {
		return signing, set, c.err
	}
	if signing, err = parseKey(c.key); err != nil {
		return signing, set, fmt.Errorf("read key from %s: %w", f.Key, err)
	}
	if signing.IsPublic() {
		return signing, set, fmt.Errorf("read key from %s: it is a public key, and signing takes a private one", f.Key)
	}
	set.Keys = append(set.Keys, signing.Public())
	for i, data := range c.others {
		key, err := parseKey(data)
		if err != nil {
			return signing, set, fmt.Errorf("read key from %s: %w", f.Others[i], err)
		}
		if len(set.Key(key.KeyID)) == 0 {
			set.Keys = append(set.Keys, key.Public())
		}
	}
	return signing, set, nil
}

// wanted says how to make a key that will do.
const wanted = "want one in PEM that is not encrypted, as `openssl genpkey -algorithm ed25519` writes it"

// parseKey reads one key. Its errors tell nothing of it.
func parseKey(data []byte) (jose.JSONWebKey, error) {
	block, rest := pem.Decode(data)
	if block == nil {
		return jose.JSONWebKey{}, errors.New("there is no key in it: " + wanted)
	}
	if next, _ := pem.Decode(rest); next != nil {
		return jose.JSONWebKey{}, errors.New("there is more than one key in it: give each a file of its own")
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	default:
		return jose.JSONWebKey{}, fmt.Errorf("it is of type %q: %s", block.Type, wanted)
	}
	if err != nil {
		return jose.JSONWebKey{}, errors.New("it cannot be read: " + wanted)
	}
	jwk := jose.JSONWebKey{Key: key, Use: "sig"}
	switch k := key.(type) {
	case ed25519.PrivateKey, ed25519.PublicKey:
		jwk.Algorithm = string(jose.EdDSA)
	case *ecdsa.PrivateKey:
		jwk.Algorithm = algorithm(k.Curve)
	case *ecdsa.PublicKey:
		jwk.Algorithm = algorithm(k.Curve)
	}
	if jwk.Algorithm == "" {
		return jose.JSONWebKey{}, errors.New("want a key for Ed25519 or for ECDSA on P-256")
	}
	thumbprint, err := jwk.Thumbprint(crypto.SHA256) // RFC 7638
	if err != nil {
		return jose.JSONWebKey{}, fmt.Errorf("name it: %w", err)
	}
	jwk.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	return jwk, nil
}

// algorithm returns the algorithm for a curve, or nothing.
func algorithm(c elliptic.Curve) string {
	if c == elliptic.P256() {
		return string(jose.ES256)
	}
	return ""
}
