// The page is light or dark as Airflow's own pages are, also where the system is otherwise. Airflow keeps the choice
// under this name; what is neither of the two means the system's.
"use strict";

(() => {
  const apply = () => {
    let chosen = null;
    try {
      chosen = localStorage.getItem("theme");
    } catch {
      // A browser may keep nothing: then the system's.
    }
    if (chosen === "light" || chosen === "dark") {
      document.documentElement.dataset.theme = chosen;
    } else {
      delete document.documentElement.dataset.theme;
    }
  };
  apply();
  addEventListener("storage", apply); // Airflow's page around this one has changed it
})();
