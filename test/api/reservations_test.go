// SPDX-License-Identifier: Apache-2.0

package api

import . "github.com/onsi/ginkgo/v2"

var _ = DescribeTable("IPReservation", admits("IPReservation"),
	Entry("a week", `spec: {service: {namespace: shop, name: web}, keepFor: 168h}`, accepted),
	Entry("hours and minutes", `spec: {service: {namespace: shop, name: web}, keepFor: 1h30m}`, accepted),
	Entry("an end", `spec: {addresses: [192.0.2.7], expiresAt: "2026-11-30T10:00:00+01:00"}`, accepted),
	Entry("days, which Go cannot decode", `spec: {service: {namespace: shop, name: web}, keepFor: 7d}`, "spec.keepFor: Invalid value"),
	Entry("the fix beside days", `spec: {service: {namespace: shop, name: web}, keepFor: 7d}`, "such as 168h for a week"),
	Entry("no duration", `spec: {service: {namespace: shop, name: web}, keepFor: long}`, "spec.keepFor: Invalid value"),
	Entry("more hours than a duration holds", `spec: {service: {namespace: shop, name: web}, keepFor: 2562048h}`, "spec.keepFor: Invalid value"),
	Entry("less than nothing", `spec: {service: {namespace: shop, name: web}, keepFor: -1h}`, "spec.keepFor: Invalid value"),
	Entry("a date that Go cannot decode", `spec: {addresses: [192.0.2.7], expiresAt: "2026-11-30t10:00:00z"}`, "spec.expiresAt: Invalid value"),
)
