package io.ksm4j.spi;

/**
 * What a module wants done once in each program that uses ksm4j. Found by {@link java.util.ServiceLoader} when a program first asks for
 * {@link io.ksm4j.Ksm#system()}, whether a backend works or not.
 */
@FunctionalInterface
public interface KsmStartup {

    /** Does it, quickly: the program waits. What this throws, nobody hears of. */
    void start();
}
