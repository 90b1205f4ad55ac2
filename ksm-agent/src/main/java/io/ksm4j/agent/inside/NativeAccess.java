package io.ksm4j.agent.inside;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;

/** The right to call native functions without a warning. */
final class NativeAccess {

    private NativeAccess() {}

    /**
     * Gives it to this module. Agents have no supported way to that: {@code Enable-Native-Access} in the manifest counts for
     * programs alone, and {@code ModuleLayer.Controller.enableNativeAccess} wants a caller who has the right already. What the JDK's
     * own way is called inside has not changed from Java 17 to 25. If it does, the JVM warns, once, and all works as before.
     */
    static void grant() {
        try {
            MethodHandles.privateLookupIn(Module.class, MethodHandles.lookup())
                    .findVirtual(Module.class, "implAddEnableNativeAccess", MethodType.methodType(Module.class))
                    .invoke(NativeAccess.class.getModule());
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable t) {
            System.getLogger("io.ksm4j").log(System.Logger.Level.DEBUG, "the JVM will warn of native access", t);
        }
    }
}
