// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.inference;

/** What the agent marks in the JVMs. */
enum Variant {
    WITHOUT("without merging", ""),
    WHOLE_PROCESS("whole process", "merge=on"),
    NATIVE_ONLY("native only", "merge=native");

    private final String label;
    private final String agentOptions;

    Variant(String label, String agentOptions) {
        this.label = label;
        this.agentOptions = agentOptions;
    }

    String label() {
        return label;
    }

    /** Returns the options for the agent; empty if there is none. */
    String agentOptions() {
        return agentOptions;
    }

    boolean merges() {
        return this != WITHOUT;
    }
}
