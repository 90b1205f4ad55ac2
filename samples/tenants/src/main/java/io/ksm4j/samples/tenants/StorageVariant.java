// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.tenants;

/** How tenants store their data. */
enum StorageVariant {
    /** In a merge region. */
    KSM4J("with ksm4j"),
    /** In a direct buffer of a process that has opted in as a whole. */
    OPTED_IN("process opted in, direct memory"),
    /** In a direct buffer; nothing merges. */
    PLAIN("without"),
    /** In arrays on the heap of a process that has opted in as a whole. */
    OPTED_IN_HEAP("process opted in, heap");

    private final String label;

    StorageVariant(String label) {
        this.label = label;
    }

    String label() {
        return label;
    }

    /** Returns whether {@code ksmd} scans the data. */
    boolean isMergeable() {
        return this != PLAIN;
    }

    /** Returns whether equal data lies at equal offsets in its pages, so that it merges. */
    boolean merges() {
        return this == KSM4J || this == OPTED_IN;
    }

    boolean optsIn() {
        return this == OPTED_IN || this == OPTED_IN_HEAP;
    }
}
