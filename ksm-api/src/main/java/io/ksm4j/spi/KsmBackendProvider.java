package io.ksm4j.spi;

/**
 * Makes one kind of {@link KsmBackend}. Providers are found by {@link java.util.ServiceLoader}; creating a provider and
 * asking for its name load no native code.
 */
public interface KsmBackendProvider {

    /**
     * The name of the backends it makes.
     *
     * @return a short lower-case name
     */
    String name();

    /**
     * Which provider is asked first.
     *
     * @return a rank; the highest that works is taken
     */
    int priority();

    /**
     * Binds the native functions.
     *
     * @return a backend that works here
     * @throws UnsupportedOperationException if it cannot work here; the message says why and what would cure it
     */
    KsmBackend open();
}
