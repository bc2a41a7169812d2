// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"metalsuite.io/api/reason"
)

func TestParseKey(t *testing.T) {
	random := []byte("\x00\x01\x02\xff\xfe\xfd\x20\x0a0123456789abcdefghijklmn")
	long := bytes.Repeat([]byte("0123456789abcdef"), 8)
	tests := []struct {
		name string
		text []byte
		want []byte // nil: refused
	}{
		{"16 bytes in base64", []byte(base64.StdEncoding.EncodeToString(random[:16])), random[:16]},
		{"24 bytes in base64", []byte(base64.StdEncoding.EncodeToString(random[:24])), random[:24]},
		{"32 bytes in base64", []byte(base64.StdEncoding.EncodeToString(random)), random},
		{"base64 without padding", []byte(base64.RawStdEncoding.EncodeToString(random[:16])), random[:16]},
		{"base64 for URLs", []byte(base64.URLEncoding.EncodeToString(random)), random},
		{"base64 with a line end", []byte(base64.StdEncoding.EncodeToString(random) + "\n"), random},
		{"32 raw bytes", random, random},
		{"16 raw bytes", []byte("!0123456789abcd!"), []byte("!0123456789abcd!")},
		{"raw bytes with a line end", []byte("!0123456789abcd!\n"), []byte("!0123456789abcd!")},
		{"empty", nil, nil},
		{"only white space", []byte("  \n"), nil},
		{"too short", []byte("secret"), nil},
		{"between two lengths", []byte("!0123456789abcde!"), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseKey(test.text)
			if test.want == nil {
				if p := (*reason.Problem)(nil); !errors.As(err, &p) || p.Reason != reason.GossipKeyInvalid {
					t.Errorf("got %q, error %v", []byte(got), err)
				}
				return
			}
			if err != nil || !bytes.Equal(got, test.want) {
				t.Errorf("got %q, error %v, want %q", []byte(got), err, test.want)
			}
		})
	}
	if key, err := ParseKey([]byte(base64.StdEncoding.EncodeToString(long))); err != nil || len(key) != 32 {
		t.Errorf("a long secret: %d bytes, error %v", len(key), err)
	}
}

func TestReadKey(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "secretkey")
	if _, err := ReadKey(folder); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("without the file: %v", err)
	}
	if err := os.WriteFile(file, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadKey(folder); err == nil || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "short") {
		t.Errorf("with a bad key: %v", err)
	}
	want := "!0123456789abcd!"
	if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{folder, file} {
		if key, err := ReadKey(path); err != nil || string(key) != want {
			t.Errorf("%s: %q, error %v", path, []byte(key), err)
		}
	}
}

func TestKeyNeverPrints(t *testing.T) {
	key := Key("!0123456789abcd!")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(verb, Options{Key: key}); strings.Contains(s, "0123") || strings.Contains(s, "48 49") {
			t.Errorf("%s prints %s", verb, s)
		}
	}
}
