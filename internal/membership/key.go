// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"metalsuite.io/api/reason"
)

// Key is the secret that all members share: 16, 24 or 32 bytes for AES-128, AES-192 or AES-256. It never prints itself.
type Key []byte

// String hides the key.
func (Key) String() string { return "redacted" }

// GoString hides the key.
func (Key) GoString() string { return "redacted" }

// MarshalLog hides the key.
func (Key) MarshalLog() any { return "redacted" }

func (k Key) validate() error {
	if !validLength(len(k)) {
		return reason.New(reason.GossipKeyInvalid, "the gossip key has %d bytes instead of 16, 24 or 32", len(k))
	}
	return nil
}

func validLength(n int) bool { return n == 16 || n == 24 || n == 32 }

// Names of the keys in the Secret, and so of the files where the Secret is mounted. The former key is optional.
const (
	keyFile    = "secretkey"
	formerFile = "previous"
)

// ReadKeys reads the key as ReadKey does and, where path is a folder, the former key from the file "previous" in it. A former key that
// is missing or unusable is left out: nobody can have encrypted with it.
func ReadKeys(path string) (Keys, error) {
	current, err := ReadKey(path)
	if err != nil {
		return Keys{}, err
	}
	former, err := ReadKey(filepath.Join(path, formerFile))
	if err != nil {
		former = nil
	}
	return Keys{Current: current, Former: former}, nil
}

// ReadKey reads the key from a file, or from the file "secretkey" in a folder. A missing, unreadable or unusable key is an error: there
// is no way to run without encryption.
func ReadKey(path string) (Key, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, keyFile)
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, reason.New(reason.GossipKeyInvalid, "there is no gossip key at %s", path)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the gossip key: %w", err)
	}
	key, err := ParseKey(b)
	if err != nil {
		return nil, fmt.Errorf("reading the gossip key from %s: %w", path, err)
	}
	return key, nil
}

// ParseKey understands base64 text of 16, 24 or 32 bytes and those bytes themselves. Of anything longer, such as the 128 random bytes
// that old MetalLB manuals ask for, the key is the SHA-256 sum. White space at the ends does not count unless the bytes are a key.
func ParseKey(b []byte) (Key, error) {
	text := bytes.TrimSpace(b)
	if key, ok := decodeBase64(text); ok {
		return key, nil
	}
	for _, raw := range [][]byte{b, text} {
		if validLength(len(raw)) {
			return Key(raw), nil
		}
	}
	if len(text) > 32 {
		sum := sha256.Sum256(text)
		return sum[:], nil
	}
	return nil, reason.New(reason.GossipKeyInvalid, "the gossip key has %d bytes and is not base64 of 16, 24 or 32 bytes", len(text))
}

func decodeBase64(text []byte) (Key, bool) {
	unpadded := string(bytes.TrimRight(text, "="))
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if key, err := encoding.DecodeString(unpadded); err == nil && validLength(len(key)) {
			return key, true
		}
	}
	return nil, false
}
