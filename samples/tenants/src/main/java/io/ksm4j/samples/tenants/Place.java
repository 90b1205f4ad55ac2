package io.ksm4j.samples.tenants;

/** Where tenants live. */
enum Place {
    CLASS_LOADERS("class loaders in one JVM"),
    JVMS("JVMs");

    private final String label;

    Place(String label) {
        this.label = label;
    }

    String label() {
        return label;
    }
}
