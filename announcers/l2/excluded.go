// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"fmt"
	"regexp"
	"strings"

	"metalsuite.io/api/reason"
)

// DefaultExcludedInterfaces are the patterns of interfaces that lead to pods, containers and tunnels, not to the network: MetalLB's list.
var DefaultExcludedInterfaces = []string{
	"^docker.*", "^cbr.*", "^dummy.*", "^virbr.*", "^lxcbr.*", "^veth.*", "^lo$", "^cali.*", "^tunl.*", "^flannel.*",
	"^kube-ipvs.*", "^cni.*", "^nodelocaldns.*", "^lxc.*",
}

// compile returns the patterns that can be used, and a problem that names the others; nil when there is none. An empty pattern is left out
// too, since it excludes every interface. When no pattern of several is left, the built-in list holds.
func compile(patterns []string) ([]*regexp.Regexp, *reason.Problem) {
	var usable []*regexp.Regexp
	var others []string
	for _, p := range patterns {
		r, err := regexp.Compile(p)
		switch {
		case p == "":
			others = append(others, `"" matches every interface`)
		case err != nil:
			others = append(others, fmt.Sprintf("%q is not a regular expression: %v", p, err))
		default:
			usable = append(usable, r)
		}
	}
	if len(others) == 0 {
		return usable, nil
	}
	problem := reason.New(reason.InvalidInterfacePattern, "excluded interfaces: %s", strings.Join(others, "; "))
	if len(usable) == 0 {
		usable, _ = compile(DefaultExcludedInterfaces)
		problem.Detail += "; the built-in list is used"
	}
	return usable, problem
}
