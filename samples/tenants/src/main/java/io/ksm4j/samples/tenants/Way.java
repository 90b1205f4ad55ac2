package io.ksm4j.samples.tenants;

/** How tenants keep their data. */
enum Way {
    /** In a merge region. */
    KSM4J("with ksm4j"),
    /** In plain direct memory, and nothing merges. */
    PLAIN("without"),
    /** In plain direct memory of a process that has opted in as a whole. */
    OPTED_IN("process opted in, direct memory"),
    /** As objects on the heap of a process that has opted in as a whole. */
    OPTED_IN_HEAP("process opted in, heap");

    private final String label;

    Way(String label) {
        this.label = label;
    }

    String label() {
        return label;
    }

    boolean merges() {
        return this != PLAIN;
    }

    boolean optsIn() {
        return this == OPTED_IN || this == OPTED_IN_HEAP;
    }
}
