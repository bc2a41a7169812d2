// SPDX-License-Identifier: Apache-2.0

package installation

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"metalsuite.io/api/reason"
)

// patterns returns the expressions that can be used. When none of several is left, the result is nil, so that the built-in list holds: an
// empty list would exclude no interface at all, those of pods included. An expression that matches every interface stays: without it the
// speakers would announce everywhere where the user lets them announce nowhere.
func (c *checker) patterns(at *field.Path, expressions []string) []string {
	if len(expressions) == 0 {
		return expressions
	}
	var usable []string
	for i, e := range expressions {
		compiled, err := compile(e)
		if err != nil {
			c.add(reason.InvalidInterfacePattern, at.Index(i), "%q %v", e, err)
			continue
		}
		if matchesAll(compiled) {
			c.add(reason.AllInterfacesExcluded, at.Index(i), "%q matches every interface, so nothing is announced at layer 2", e)
		}
		usable = append(usable, e)
	}
	return usable
}

// compile says why an expression cannot select interfaces to exclude, if it cannot.
func compile(expression string) (*regexp.Regexp, error) {
	if strings.ContainsFunc(expression, unicode.IsControl) {
		return nil, errors.New("has a control character, which no interface name has")
	}
	compiled, err := regexp.Compile(expression)
	if err != nil {
		return nil, fmt.Errorf("is not a regular expression: %w", err)
	}
	return compiled, nil
}

// longest is the length in bytes of the longest interface name (Linux: IFNAMSIZ - 1).
const longest = 15

// matchesAll reports whether an expression matches every interface name: it matches each printable character, alone and repeated to the
// longest name, and a usual name.
func matchesAll(expression *regexp.Regexp) bool {
	for r := '!'; r <= '~'; r++ {
		if c := string(r); r != '/' && (!expression.MatchString(c) || !expression.MatchString(strings.Repeat(c, longest))) {
			return false
		}
	}
	return expression.MatchString("eth0")
}
